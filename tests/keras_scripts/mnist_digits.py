# MNIST as scripts for Keras 2.0 have it: np_utils, nb_epoch, lr, 'acc', predict_classes.
import numpy as np
from keras.datasets import mnist
from keras.layers import Activation, Dense
from keras.models import Sequential
from keras.optimizers import RMSprop
from keras.utils import np_utils

np.random.seed(1337)

(X_train, y_train), (X_test, y_test) = mnist.load_data()
X_train = X_train.reshape(60000, 784).astype('float32') / 255
X_test = X_test.reshape(10000, 784).astype('float32') / 255
Y_train = np_utils.to_categorical(y_train, 10)
Y_test = np_utils.to_categorical(y_test, 10)

model = Sequential()
model.add(Dense(512, input_shape=(784,)))
model.add(Activation('relu'))
model.add(Dense(10))
model.add(Activation('softmax'))
model.summary()
model.compile(loss='categorical_crossentropy', optimizer=RMSprop(lr=0.001), metrics=['accuracy'])

history = model.fit(X_train, Y_train, batch_size=128, nb_epoch=5, verbose=2)
print('training accuracy:', history.history['acc'][-1])
score = model.evaluate(X_test, Y_test, verbose=0)
classes = model.predict_classes(X_test, verbose=0)
assert abs((classes == y_test).mean() - score[1]) < 1e-6
print('test loss:', score[0])
print('test accuracy:', score[1])
